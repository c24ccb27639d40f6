"""Alert rules, the alert state machine, silences, messages and their delivery."""

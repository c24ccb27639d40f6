"""Objectives as recording and alerting rules of Prometheus: `exported(objectives, policy)`, `written(exported)`."""

"""Metrics whose names are others': cAdvisor's `container_*` and node_exporter's `node_*`, as their dashboards ask.

Two kinds of name can't be counters here though their values are: those without `_total` at the end would get one
on the way (`container_memory_failcnt`, `node_vmstat_*`), so they are gauges; `rate()` doesn't mind.
"""

from __future__ import annotations

from agent.names import Metric

_DEVICE = ("device",)
_INTERFACE = ("interface",)
_MACHINE = ("boot_id", "machine_id", "system_uuid")

CADVISOR: dict[str, Metric] = {
    "container_cpu_usage_seconds_total": Metric("counter", "CPU time consumed.", ("cpu",)),
    "container_cpu_user_seconds_total": Metric("counter", "CPU time consumed in user mode."),
    "container_cpu_system_seconds_total": Metric("counter", "CPU time consumed in the kernel."),
    "container_cpu_cfs_periods_total": Metric("counter", "Periods of the CPU quota that elapsed."),
    "container_cpu_cfs_throttled_periods_total": Metric("counter", "Periods in which the CPU quota ran out."),
    "container_cpu_cfs_throttled_seconds_total": Metric("counter", "Time for which the CPU quota held tasks back."),
    "container_cpu_cfs_burst_periods_total": Metric("counter", "Periods in which more than the quota was used."),
    "container_cpu_cfs_burst_seconds_total": Metric("counter", "CPU time used beyond the quota."),
    "container_spec_cpu_quota": Metric("gauge", "CPU quota per period in microseconds; absent without one."),
    "container_spec_cpu_period": Metric("gauge", "Period of the CPU quota in microseconds."),
    "container_spec_cpu_shares": Metric("gauge", "CPU shares."),
    "container_spec_memory_limit_bytes": Metric("gauge", "Memory limit, 0 without one."),
    "container_spec_memory_swap_limit_bytes": Metric(
        "gauge", "Limit of swap (with memory on cgroup v1), 0 without one."
    ),
    "container_spec_memory_reservation_limit_bytes": Metric("gauge", "Memory kept for the container, 0 without."),
    "container_memory_usage_bytes": Metric("gauge", "Memory in use, page cache included."),
    "container_memory_working_set_bytes": Metric("gauge", "Memory in use less inactive file pages."),
    "container_memory_rss": Metric("gauge", "Anonymous memory in bytes."),
    "container_memory_cache": Metric("gauge", "Page cache in bytes."),
    "container_memory_mapped_file": Metric("gauge", "Mapped files in bytes."),
    "container_memory_swap": Metric("gauge", "Swap in use in bytes."),
    "container_memory_max_usage_bytes": Metric("gauge", "Most memory that was in use."),
    "container_memory_failcnt": Metric("gauge", "Times that the memory limit was hit."),
    "container_memory_failures_total": Metric("counter", "Page faults.", ("failure_type", "scope")),
    "container_memory_total_active_file_bytes": Metric("gauge", "File pages in use of late."),
    "container_memory_total_inactive_file_bytes": Metric("gauge", "File pages not in use of late."),
    "container_memory_file_dirty_bytes": Metric("gauge", "File pages that wait to be written."),
    "container_memory_file_writeback_bytes": Metric("gauge", "File pages that are being written."),
    "container_memory_kernel_usage": Metric("gauge", "Kernel memory in bytes."),
    "container_memory_events_high_total": Metric("counter", "Times that memory.high was exceeded (cgroup v2)."),
    "container_memory_events_max_total": Metric("counter", "Times that memory.max was reached (cgroup v2)."),
    "container_memory_pgscan_total": Metric("counter", "Pages scanned by reclaim (cgroup v2)."),
    "container_memory_pgsteal_total": Metric("counter", "Pages reclaimed (cgroup v2)."),
    "container_memory_workingset_refault_file_total": Metric("counter", "File pages that came back after eviction."),
    "container_memory_workingset_refault_anon_total": Metric("counter", "Other pages that came back after eviction."),
    "container_oom_events_total": Metric("counter", "Processes that the kernel killed for memory in this run."),
    "container_fs_reads_total": Metric("counter", "Reads of a block device.", _DEVICE),
    "container_fs_reads_bytes_total": Metric("counter", "Bytes read from a block device.", _DEVICE),
    "container_fs_writes_total": Metric("counter", "Writes to a block device.", _DEVICE),
    "container_fs_writes_bytes_total": Metric("counter", "Bytes written to a block device.", _DEVICE),
    "container_network_receive_bytes_total": Metric("counter", "Bytes received.", _INTERFACE),
    "container_network_receive_packets_total": Metric("counter", "Packets received.", _INTERFACE),
    "container_network_receive_packets_dropped_total": Metric("counter", "Received packets dropped.", _INTERFACE),
    "container_network_receive_errors_total": Metric("counter", "Errors while receiving.", _INTERFACE),
    "container_network_transmit_bytes_total": Metric("counter", "Bytes sent.", _INTERFACE),
    "container_network_transmit_packets_total": Metric("counter", "Packets sent.", _INTERFACE),
    "container_network_transmit_packets_dropped_total": Metric("counter", "Packets to send dropped.", _INTERFACE),
    "container_network_transmit_errors_total": Metric("counter", "Errors while sending.", _INTERFACE),
    "container_fs_usage_bytes": Metric("gauge", "Bytes in the writable layer.", _DEVICE),
    "container_fs_limit_bytes": Metric("gauge", "Size of the file system under the writable layer.", _DEVICE),
    "container_fs_inodes_free": Metric("gauge", "Free inodes of that file system.", _DEVICE),
    "container_fs_inodes_total": Metric("gauge", "Inodes of that file system.", _DEVICE),
    "container_file_descriptors": Metric("gauge", "Open file descriptors of all processes, read every 30 s."),
    "container_ulimits_soft": Metric("gauge", "Soft limits of the main process.", ("ulimit",)),
    "container_processes": Metric("gauge", "Processes in the container."),
    "container_threads": Metric("gauge", "Threads in the container."),
    "container_threads_max": Metric("gauge", "Most threads allowed; absent without a limit."),
    "container_pressure_cpu_waiting_seconds_total": Metric("counter", "Time that some tasks waited for CPU."),
    "container_pressure_cpu_stalled_seconds_total": Metric("counter", "Time that all tasks waited for CPU."),
    "container_pressure_memory_waiting_seconds_total": Metric("counter", "Time that some tasks waited for memory."),
    "container_pressure_memory_stalled_seconds_total": Metric("counter", "Time that all tasks waited for memory."),
    "container_pressure_io_waiting_seconds_total": Metric("counter", "Time that some tasks waited for IO."),
    "container_pressure_io_stalled_seconds_total": Metric("counter", "Time that all tasks waited for IO."),
    "container_last_seen": Metric("gauge", "When the container was last seen, in seconds since 1970."),
    "container_start_time_seconds": Metric("gauge", "When the container was last started."),
    "container_creation_time_seconds": Metric("gauge", "When the container was made."),
    "container_health_state": Metric("gauge", "Health check: 1 healthy, 0 starting or unhealthy, -1 none."),
    "container_info": Metric("gauge", "1, with the image and the container labels that were asked for.", ("image_id",)),
}

NETSTAT_KEYS = (
    "Tcp_RetransSegs", "Tcp_OutSegs", "Tcp_InSegs", "Tcp_InErrs", "Tcp_ActiveOpens", "Tcp_PassiveOpens",
    "Tcp_CurrEstab", "TcpExt_TCPSynRetrans", "TcpExt_ListenDrops", "TcpExt_ListenOverflows", "Udp_InErrors",
)  # fmt: skip
"""The fields of /proc/net/snmp and netstat that public dashboards ask for."""

PRESSURES = ("cpu_waiting", "memory_waiting", "memory_stalled", "io_waiting", "io_stalled")
"""As node_exporter names the lines of /proc/pressure."""

_CPU = ("cpu", "mode")
_MOUNT = ("device", "fstype", "mountpoint")
_UNAME = ("domainname", "machine", "nodename", "release", "sysname", "version")

MEMORY_KEYS = (
    "MemTotal_bytes", "MemFree_bytes", "MemAvailable_bytes", "Buffers_bytes", "Cached_bytes", "Slab_bytes",
    "SReclaimable_bytes", "SUnreclaim_bytes", "Shmem_bytes", "Active_bytes", "Inactive_bytes", "AnonPages_bytes",
    "Mapped_bytes", "Dirty_bytes", "Writeback_bytes", "PageTables_bytes", "KernelStack_bytes", "SwapTotal_bytes",
    "SwapFree_bytes", "SwapCached_bytes", "CommitLimit_bytes", "Committed_AS_bytes", "Percpu_bytes",
)  # fmt: skip
"""The fields of /proc/meminfo that public dashboards ask for."""

VMSTAT_KEYS = ("oom_kill", "pgfault", "pgmajfault", "pgpgin", "pgpgout", "pswpin", "pswpout")
"""The fields of /proc/vmstat that node_exporter has by default."""

_CHIP = ("chip", "sensor")

NODE: dict[str, Metric] = {
    "machine_cpu_cores": Metric("gauge", "CPUs of the node.", _MACHINE),
    "machine_memory_bytes": Metric("gauge", "Memory of the node.", _MACHINE),
    "machine_swap_bytes": Metric("gauge", "Swap of the node.", _MACHINE),
    **{f"node_netstat_{key}": Metric("gauge", f"{key.replace('_', ' ')} of the node.") for key in NETSTAT_KEYS},
    **{
        f"node_pressure_{name}_seconds_total": Metric("counter", f"Time of pressure on the node: {name}.")
        for name in PRESSURES
    },
    "node_network_speed_bytes": Metric("gauge", "Speed of a link in bytes a second.", _DEVICE),
    "node_bonding_slaves": Metric("gauge", "Links of a bond.", ("master",)),
    "node_bonding_active": Metric("gauge", "Links of a bond that are up.", ("master",)),
    "node_nf_conntrack_entries": Metric("gauge", "Connections that are tracked."),
    "node_nf_conntrack_entries_limit": Metric("gauge", "Most connections that are tracked."),
    "node_edac_correctable_errors_total": Metric("counter", "Memory errors that were corrected.", ("controller",)),
    "node_edac_uncorrectable_errors_total": Metric("counter", "Memory errors that were not.", ("controller",)),
    "node_md_disks": Metric("gauge", "Disks of a RAID by state.", ("device", "state")),
    "node_md_disks_required": Metric("gauge", "Disks that a RAID needs.", _DEVICE),
    "node_hwmon_temp_celsius": Metric("gauge", "Temperature.", _CHIP),
    "node_hwmon_temp_max_celsius": Metric("gauge", "Highest temperature that is good.", _CHIP),
    "node_hwmon_temp_crit_alarm_celsius": Metric("gauge", "Above 0 where a temperature is critical.", _CHIP),
    "node_hwmon_temp_alarm": Metric("gauge", "1 where a sensor raises its alarm.", _CHIP),
    "node_timex_offset_seconds": Metric("gauge", "Offset of the clock from its reference."),
    "node_timex_maxerror_seconds": Metric("gauge", "Most that the clock can be wrong."),
    "node_timex_estimated_error_seconds": Metric("gauge", "How wrong the clock is thought to be."),
    "node_timex_sync_status": Metric("gauge", "1 where the clock is kept in step."),
    "node_filesystem_device_error": Metric("gauge", "1 where a file system can't be looked at.", _MOUNT),
    "node_cpu_seconds_total": Metric("counter", "Time that each CPU spent in each mode.", _CPU),
    "node_boot_time_seconds": Metric("gauge", "When the node was booted."),
    "node_time_seconds": Metric("gauge", "The node's clock."),
    "node_context_switches_total": Metric("counter", "Context switches."),
    "node_intr_total": Metric("counter", "Interrupts serviced."),
    "node_procs_running": Metric("gauge", "Processes that can run."),
    "node_procs_blocked": Metric("gauge", "Processes that wait for IO."),
    "node_load1": Metric("gauge", "Load average of 1 minute."),
    "node_load5": Metric("gauge", "Load average of 5 minutes."),
    "node_load15": Metric("gauge", "Load average of 15 minutes."),
    "node_filefd_allocated": Metric("gauge", "Open files of the node."),
    "node_filefd_maximum": Metric("gauge", "Most open files allowed."),
    "node_uname_info": Metric("gauge", "1, with what the kernel says it is.", _UNAME),
    "node_filesystem_size_bytes": Metric("gauge", "Size of a file system.", _MOUNT),
    "node_filesystem_free_bytes": Metric("gauge", "Free space of a file system.", _MOUNT),
    "node_filesystem_avail_bytes": Metric("gauge", "Free space that ordinary users may take.", _MOUNT),
    "node_filesystem_files": Metric("gauge", "Inodes of a file system.", _MOUNT),
    "node_filesystem_files_free": Metric("gauge", "Free inodes of a file system.", _MOUNT),
    "node_filesystem_readonly": Metric("gauge", "1 where a file system is mounted read-only.", _MOUNT),
    "node_disk_reads_completed_total": Metric("counter", "Reads completed.", _DEVICE),
    "node_disk_reads_merged_total": Metric("counter", "Reads merged.", _DEVICE),
    "node_disk_read_bytes_total": Metric("counter", "Bytes read.", _DEVICE),
    "node_disk_read_time_seconds_total": Metric("counter", "Time spent by reads.", _DEVICE),
    "node_disk_writes_completed_total": Metric("counter", "Writes completed.", _DEVICE),
    "node_disk_writes_merged_total": Metric("counter", "Writes merged.", _DEVICE),
    "node_disk_written_bytes_total": Metric("counter", "Bytes written.", _DEVICE),
    "node_disk_write_time_seconds_total": Metric("counter", "Time spent by writes.", _DEVICE),
    "node_disk_io_now": Metric("gauge", "IO in progress.", _DEVICE),
    "node_disk_io_time_seconds_total": Metric("counter", "Time in which IO was in progress.", _DEVICE),
    "node_disk_io_time_weighted_seconds_total": Metric("counter", "Time of IO times the IO in progress.", _DEVICE),
    "node_network_receive_bytes_total": Metric("counter", "Bytes received.", _DEVICE),
    "node_network_receive_packets_total": Metric("counter", "Packets received.", _DEVICE),
    "node_network_receive_errs_total": Metric("counter", "Errors while receiving.", _DEVICE),
    "node_network_receive_drop_total": Metric("counter", "Received packets dropped.", _DEVICE),
    "node_network_transmit_bytes_total": Metric("counter", "Bytes sent.", _DEVICE),
    "node_network_transmit_packets_total": Metric("counter", "Packets sent.", _DEVICE),
    "node_network_transmit_errs_total": Metric("counter", "Errors while sending.", _DEVICE),
    "node_network_transmit_drop_total": Metric("counter", "Packets to send dropped.", _DEVICE),
    **{f"node_memory_{key}": Metric("gauge", f"{key} of /proc/meminfo.") for key in MEMORY_KEYS},
    **{f"node_vmstat_{key}": Metric("gauge", f"{key} of /proc/vmstat.") for key in VMSTAT_KEYS},
}

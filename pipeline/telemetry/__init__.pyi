from .logs import (
    LOG_FORMAT_ENV,
    LogFormat,
    configure_logging,
    current_log_format,
    log_unprocessed,
    route_logger,
    set_log_context,
)
from .notifications import make_notifier
from .prometheus_metrics import (
    RemainingGauge,
    record_image,
    set_worker_count,
    start_metrics_export,
    stop_metrics_export,
    track_busy_time,
)
from .throughput import ThroughputMeter
from .tracing import ShardTrace, TracedProgress, trace_command

__all__ = [
    "LOG_FORMAT_ENV",
    "LogFormat",
    "RemainingGauge",
    "ShardTrace",
    "ThroughputMeter",
    "TracedProgress",
    "configure_logging",
    "current_log_format",
    "log_unprocessed",
    "make_notifier",
    "record_image",
    "route_logger",
    "set_log_context",
    "set_worker_count",
    "start_metrics_export",
    "stop_metrics_export",
    "trace_command",
    "track_busy_time",
]

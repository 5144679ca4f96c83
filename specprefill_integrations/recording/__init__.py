"""An app's own runs as evaluation cases in a file: what users ask and are answered.

Knows no framework; whoever watches an app tells it what happens.
"""

from __future__ import annotations

from specprefill_integrations.recording.app_run import AppRun, FoundText, LeftOutReason
from specprefill_integrations.recording.app_run_recorder import AppRunRecorder
from specprefill_integrations.recording.case_file import CaseFile

__all__ = ["AppRun", "AppRunRecorder", "CaseFile", "FoundText", "LeftOutReason"]

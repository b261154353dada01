"""The engine: a project's stack brought up, previewed, refreshed and destroyed through Pulumi's Automation API.

Importing this imports no Pulumi; `operations` does, once something is run.
"""

from __future__ import annotations

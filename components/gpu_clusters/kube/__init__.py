"""A small client of the Kubernetes API: plain JSON, quick, and patient with a server that is away for a moment.

The `kubernetes` package isn't used: it takes a second to import, its discovery reads every group before the first call,
it writes private keys into files that outlive a process that is killed, and it can't tell a server that is away for a
moment from one that refuses.
"""

from __future__ import annotations

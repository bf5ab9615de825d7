"""What the transcripts' processes have imported before they are forked: starting Python anew takes longest."""

import curate
import curate.cli.main

for _name in curate.__all__:
    if not curate._HOME[_name].startswith("curate.loading"):  # its clients read their environment when imported
        getattr(curate, _name)

"""The live view: rerun in the browser, on this machine only, and its recording in the run folder."""

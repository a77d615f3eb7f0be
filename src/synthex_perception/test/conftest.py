import sys
from pathlib import Path

import torch

# `import perception_scenes` works whether pytest is started here, in the package or at the root.
sys.path.insert(0, str(Path(__file__).resolve().parent))

# Networks this small gain nothing from threads, and threads that wait for each other on a busy machine lose minutes.
torch.set_num_threads(1)

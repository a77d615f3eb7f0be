import sys
from pathlib import Path

# `import perception_scenes` works whether pytest is started here, in the package or at the root.
sys.path.insert(0, str(Path(__file__).resolve().parent))

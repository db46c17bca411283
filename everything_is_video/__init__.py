__version__ = "0.1.0"
import os
# OpenMP's waiting threads must not spin for long: on a busy machine two of them would train slower than one
os.environ.setdefault('GOMP_SPINCOUNT', '30000')  # read when torch is imported

"""What the compiler says about the CUDA kernels, held against a table: gates that need no GPU.

python -m build_tools.cuda_gates            # compile, measure, compare with csrc/cuda/gates.json
python -m build_tools.cuda_gates --write    # write the table anew after a change that is meant
python -m build_tools.cuda_gates --built LOG FOLDER   # compile nothing: read what a build said and kept
"""

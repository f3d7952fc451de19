# For NVIDIA GPUs: CUDA comes with the wheels, the driver with the host (docker run --gpus=all).
#   docker build -t geosurge .
#   docker run --gpus=all -v /data:/data geosurge --config=configs/geosurge.py --workdir=/data/runs/geosurge
FROM python:3.12-slim

# git: a run records its revision.
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/geosurge
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore

# The exact versions of the lock, and the CUDA plugin of the same JAX.
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock \
    && pip install "jax[cuda13]==$(python -c 'from importlib.metadata import version; print(version("jax"))')"

COPY . .
ENTRYPOINT ["python", "run.py"]

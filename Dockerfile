# deepot and Ray with the versions of constraints.txt, for `ray up` (cluster.yaml) and KubeRay (deploy/rayjob.yaml).
FROM python:3.11-slim-bookworm

# Ray's launcher copies files with rsync, its autoscaler reaches workers by ssh, KubeRay's probes use wget.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openssh-client rsync wget \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/deepot
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY deepot_launcher.py ./
COPY deepot deepot
COPY pipeline pipeline
COPY jobs jobs
# PyPI's torch brings the CUDA libraries; the same image serves machines with and without GPU.
RUN pip install --no-cache-dir -c constraints.txt '.[cluster,formats,restorers]'

# Large pages for large tensors: a fifth less time on a CPU (docs/performance.md).
ENV RAY_USAGE_STATS_ENABLED=0 PYTHONUNBUFFERED=1 GLIBC_TUNABLES=glibc.malloc.hugetlb=1
WORKDIR /root
CMD ["deepot", "--help"]

# deepot and Ray with the packages of requirements.lock, each checked against its hash, for `ray up` (cluster.yaml) and
# KubeRay (deploy/rayjob.yaml). The lock is for Linux on x86-64 and this Python; `make lock` writes it.
FROM python:3.11-slim-bookworm

# Ray's launcher copies files with rsync, its autoscaler reaches workers by ssh, KubeRay's probes use wget.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openssh-client rsync wget \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/deepot
# PyPI's torch brings the CUDA libraries; the same image serves machines with and without GPU.
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE NOTICE deepot_launcher.py ./
COPY deepot deepot
COPY pipeline pipeline
COPY jobs jobs
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

# A number, so that Kubernetes sees that it is not root; 1000 is also the user `ubuntu` of the machines of cluster.yaml.
# OpenShift runs images as users of any number in group 0, so the home folder belongs to that group.
RUN useradd --uid 1000 --gid 0 --create-home deepot && chmod -R g=u /home/deepot
USER 1000:0
# Large pages for large tensors: a fifth less time on a CPU (docs/performance.md).
ENV HOME=/home/deepot RAY_USAGE_STATS_ENABLED=0 PYTHONUNBUFFERED=1 GLIBC_TUNABLES=glibc.malloc.hugetlb=1
WORKDIR /home/deepot
CMD ["deepot", "--help"]

# The images of cytopress. Targets:
#   serve       cytopressd and cytopress: gRPC, queue, registry, inference; no LibTorch (the default)
#   worker      cytopress-worker on CPUs, with Debian's LibTorch
#   worker-gpu  cytopress-worker on NVIDIA GPUs, with a CUDA LibTorch that you unpack yourself:
#                 docker build --target worker-gpu --build-context libtorch=/path/to/libtorch .
#               It must be a C++11-ABI "shared with deps" build, made for the CUDA_SERIES below; for
#               another give --build-arg CUDA_SERIES=... and CUDA_IMAGE=..., a "devel" image of it.
#   serve-gpu   as serve, computing on an NVIDIA GPU; built like worker-gpu
# Which packages go where is said once, in deploy/packages.txt.

ARG DEBIAN_IMAGE=debian:12-slim
ARG CUDA_SERIES=12.4
ARG CUDA_IMAGE=nvidia/cuda:12.4.1-devel-ubuntu22.04

# ---- compilers and headers
FROM ${DEBIAN_IMAGE} AS tools
WORKDIR /src
COPY deploy/packages.txt deploy/install.sh deploy/
RUN deploy/install.sh build && rm -rf /var/lib/apt/lists/*
# A layer is compiled once; a compiler cache would only make it larger.
ENV CCACHE_DISABLE=1

# ---- the programs, for CPUs
FROM tools AS build
COPY . .
RUN deploy/build.sh cytopressd cytopress cytopress-worker \
    && strip build/release/bin/cytopressd build/release/bin/cytopress \
             build/release/bin/cytopress-worker

# ---- what all images share: runtime libraries and an unprivileged user
FROM ${DEBIAN_IMAGE} AS runtime
COPY deploy/packages.txt deploy/install.sh /usr/local/share/cytopress/
RUN /usr/local/share/cytopress/install.sh serve && rm -rf /var/lib/apt/lists/*
# Fixed ids, so that containers that share a volume agree on who owns its files.
RUN groupadd --gid 10001 cytopress \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/cytopress \
               --shell /usr/sbin/nologin cytopress \
    && install --directory --owner cytopress --group cytopress --mode 0750 /var/lib/cytopress
WORKDIR /var/lib/cytopress
VOLUME /var/lib/cytopress
LABEL org.opencontainers.image.title="cytopress" \
      org.opencontainers.image.description="Compresses image classifiers and serves them" \
      org.opencontainers.image.licenses="Apache-2.0"

# ---- training on CPUs
FROM runtime AS worker
RUN /usr/local/share/cytopress/install.sh worker && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/build/release/bin/cytopress-worker /usr/local/bin/
USER cytopress
# No port to ask: a worker reports to the job database, and cytopress_worker_up tells.
HEALTHCHECK NONE
ENTRYPOINT ["cytopress-worker"]
CMD ["--database", "sqlite:///var/lib/cytopress/jobs.db", "--models", "/var/lib/cytopress/models", \
     "--work", "/var/lib/cytopress/work", "--device", "cpu"]

# ---- training on GPUs
# --build-context libtorch=DIR takes the place of this stage.
FROM ${DEBIAN_IMAGE} AS libtorch
RUN echo "worker-gpu, serve-gpu: give an unpacked CUDA LibTorch with --build-context libtorch=DIR" >&2 \
    && exit 1

FROM ${CUDA_IMAGE} AS cuda

FROM tools AS build-gpu
ARG CUDA_SERIES
COPY --from=cuda /usr/local/cuda-${CUDA_SERIES} /usr/local/cuda
COPY --from=libtorch / /opt/libtorch/
ENV PATH=/usr/local/cuda/bin:${PATH} CMAKE_PREFIX_PATH=/opt/libtorch
COPY . .
RUN deploy/build.sh cytopressd cytopress cytopress-gpu cytopress-worker \
    && strip build/release/bin/cytopressd build/release/bin/cytopress \
             build/release/bin/libcytopress-gpu.so build/release/bin/cytopress-worker

FROM runtime AS worker-gpu
# The program looks for LibTorch, and the CUDA libraries that come with it, where it was linked.
COPY --from=libtorch /lib /opt/libtorch/lib
COPY --from=build-gpu /src/build/release/bin/cytopress-worker /usr/local/bin/
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER cytopress
HEALTHCHECK NONE
ENTRYPOINT ["cytopress-worker"]
CMD ["--database", "sqlite:///var/lib/cytopress/jobs.db", "--models", "/var/lib/cytopress/models", \
     "--work", "/var/lib/cytopress/work", "--device", "cuda:0"]

# ---- serving on GPUs
FROM runtime AS serve-gpu
COPY --from=libtorch /lib /opt/libtorch/lib
# The server loads the module from its own folder; that finds LibTorch where it was linked.
COPY --from=build-gpu /src/build/release/bin/cytopressd /src/build/release/bin/cytopress \
     /src/build/release/bin/libcytopress-gpu.so /usr/local/bin/
COPY deploy/zoo /usr/local/share/cytopress/zoo
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER cytopress
EXPOSE 8500 9108
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 \
    CMD ["cytopress", "jobs", "--limit=1", "--json"]
ENTRYPOINT ["cytopressd"]
CMD ["--listen", "0.0.0.0:8500", "--metrics-listen", "0.0.0.0:9108", \
     "--state", "/var/lib/cytopress", "--workers", "0", "--inference-device", "cuda:0"]

# ---- serving; last, so that it is what `docker build .` makes
FROM runtime AS serve
COPY --from=build /src/build/release/bin/cytopressd /src/build/release/bin/cytopress /usr/local/bin/
COPY deploy/zoo /usr/local/share/cytopress/zoo
USER cytopress
EXPOSE 8500 9108
# One round trip through gRPC and the job database; a list of the models would read all of their files.
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 \
    CMD ["cytopress", "jobs", "--limit=1", "--json"]
ENTRYPOINT ["cytopressd"]
# Workers are containers of their own.
CMD ["--listen", "0.0.0.0:8500", "--metrics-listen", "0.0.0.0:9108", \
     "--state", "/var/lib/cytopress", "--workers", "0"]

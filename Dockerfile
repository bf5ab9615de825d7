# docker build -t curate . && docker run --rm -v "$PWD:/data" -u "$(id -u):$(id -g)" curate check /data/release
# With ENTRYPOINT curate; text in pixels and heads need the extra `pixels`: --build-arg EXTRAS=[pixels]
FROM python:3.13-slim-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ARG EXTRAS=""
WORKDIR /source
COPY requirements.lock pyproject.toml README.md LICENSE ./
# the pinned versions, as constraints of what is installed and of what builds
RUN sed -nE 's/^([A-Za-z0-9][^ ]*==[^\\]*[^ \\]) *\\?$/\1/p' requirements.lock > constraints.txt
COPY curate curate
COPY manifests/v1 manifests/v1
COPY licenses licenses
ENV PIP_CONSTRAINT=/source/constraints.txt PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/curate && /opt/curate/bin/python -m pip install ".${EXTRAS}"

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="curate" \
      org.opencontainers.image.description="Cut and publish open releases of donated, anonymised medical images." \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/curate /opt/curate
ENV PATH="/opt/curate/bin:$PATH" HOME=/tmp PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /data
ENTRYPOINT ["curate"]
CMD ["--help"]

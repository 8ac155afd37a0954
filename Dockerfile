# syntax=docker/dockerfile:1
ARG PYTHON_IMAGE=docker.io/library/python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/venv
COPY requirements.txt /tmp/requirements.txt
RUN /opt/venv/bin/pip install --require-hashes -r /tmp/requirements.txt \
 && /opt/venv/bin/python -m compileall -q /opt/venv/lib

FROM ${PYTHON_IMAGE} AS runtime
# The environment is the image's own: manage.py must not make another.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    IMAGE_NO_VENV=1 \
    IMAGE_VAR=/var/lib/image \
    IMAGE_STATIC_ROOT=/srv/static
RUN groupadd --system --gid 10001 image \
 && useradd --system --uid 10001 --gid image --home-dir /var/lib/image --create-home --shell /usr/sbin/nologin image
COPY --from=build /opt/venv /opt/venv
WORKDIR /srv/image
# The code belongs to root: what is broken into cannot change it.
COPY . .
RUN SECRET_KEY=only-for-collecting python manage.py collectstatic --no-input \
 && python -m compileall -q . \
 && chown -R image:image /var/lib/image \
 && chmod 2770 /var/lib/image
USER 10001
VOLUME /var/lib/image
EXPOSE 8000
STOPSIGNAL SIGTERM
CMD ["uvicorn", "image.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", "5", "--no-access-log", "--ws-per-message-deflate", "false"]

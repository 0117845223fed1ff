FROM scratch
MAINTAINER Ada <ada@example.com>
COPY app /

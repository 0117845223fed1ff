FROM scratch AS context
COPY app /

FROM scratch AS app
COPY app /

FROM scratch AS app
COPY app2 /

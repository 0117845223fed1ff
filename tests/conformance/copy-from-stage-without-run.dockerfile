FROM scratch AS files
COPY dir /a
COPY plain.txt /a/b/
FROM kilnbase:1
COPY --from=files /a /taken
COPY --from=files /a/b/*.txt /glob/

FROM scratch
COPY app /
ENTRYPOINT /app --serve

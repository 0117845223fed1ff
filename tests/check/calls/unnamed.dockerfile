FROM scratch AS tools
FROM scratch
COPY app /

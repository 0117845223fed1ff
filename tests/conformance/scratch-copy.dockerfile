FROM scratch
COPY plain.txt /plain.txt
COPY dir /d
CMD ["/plain.txt"]

FROM kilnbase:1
ENV A=b \
  C="d e"
# comment

RUN echo one && \
    echo two > /two
COPY plain.txt /crlf/
LABEL x=y

FROM kilnbase:1
RUN echo shell > /shell && echo "quoted  two" >> /shell
RUN ["sh", "-c", "echo exec > /exec"]
RUN ["/bin/touch", "/a b", "$HOME"]
RUN echo one && \
    # a comment inside
    echo two \
    > /cont
SHELL ["/bin/sh", "-ec"]
RUN false || echo alive > /shell2; echo $0 >> /shell2

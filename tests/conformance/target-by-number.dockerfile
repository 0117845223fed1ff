FROM kilnbase:1
RUN echo zero > /zero
FROM kilnbase:1
RUN echo one > /one
#: args --target 0

FROM scratch
ENV GREETING hello world
LABEL stage final
COPY app /

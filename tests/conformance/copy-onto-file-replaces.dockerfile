FROM kilnbase:1
RUN echo old > /f && chmod 640 /f && mkdir /d && echo keep > /d/keep
COPY plain.txt /f
COPY dir /d

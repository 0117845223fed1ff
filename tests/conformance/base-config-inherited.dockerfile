FROM kilnwithcmd:1
COPY plain.txt ./
RUN pwd > pwd; id > id; echo $HOME > home
WORKDIR sub/dir
RUN touch here
VOLUME /more
EXPOSE 99
ENV BASE=$BASE-changed

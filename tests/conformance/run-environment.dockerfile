FROM kilnbase:1
RUN env | grep -v -e HOSTNAME -e SHLVL | sort > /env
RUN pwd > /pwd; id -u > /id; umask >> /id
RUN echo $HOME > /home.txt
USER www
RUN echo $HOME > /tmp/home; id > /tmp/id; pwd >> /tmp/id
WORKDIR /var
RUN pwd > /tmp/pwd

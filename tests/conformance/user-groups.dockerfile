FROM kilnbase:1
RUN mkdir -m 777 /u && echo 'more:x:600:solo,www' >> /etc/group
USER solo
RUN id > /u/solo; pwd >> /u/solo; echo $HOME >> /u/solo
USER nobody
RUN id > /u/nobody; touch /u/owned
USER 1001
RUN id > /u/number
USER www:extra
RUN id > /u/extra; umask 077; mkdir /u/private
USER ${nosuch:-www}:50
RUN id > /u/mixed
USER 0
RUN id > /u/zero

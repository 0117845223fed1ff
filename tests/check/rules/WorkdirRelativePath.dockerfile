FROM scratch AS one
WORKDIR srv/app
WORKDIR data

FROM scratch AS two
WORKDIR /srv
WORKDIR app

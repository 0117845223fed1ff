from kilnbase:1
maintainer Somebody <some@body.example>
env lower=case
Run echo mixed > /mixed

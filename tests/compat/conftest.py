from diskcaches import cache as cache
from diskcaches import dc as dc
from diskcaches import now as now
from diskcaches import opened as opened

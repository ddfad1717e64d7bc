/* The inner loops of labdata that NumPy needs several passes over memory for.

   Each has the same in NumPy beside its caller, which is used where this module was not built, and
   which the tests compare it with, to the bit. So the compiler may not fuse a product and a sum
   (-ffp-contract=off). Arrays come as contiguous buffers whose types the callers in Python have
   made sure of; lengths are checked here. Python's lock is released while a loop runs.
*/

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

#define LENGTH(buffer, type) ((buffer).len / (Py_ssize_t)sizeof(type))

static void release(Py_buffer *buffers, int n)
{
    for (int i = 0; i < n; i++)
        PyBuffer_Release(&buffers[i]);
}

/* Release what was taken, and raise: the caller gave arrays that do not belong together. */
static PyObject *refuse(Py_buffer *buffers, int n, const char *what)
{
    release(buffers, n);
    PyErr_SetString(PyExc_ValueError, what);
    return NULL;
}

/* ---- steps to samples -------------------------------------------------------------------------

   Steps from spike to spike come as planes: the lowest byte of all of them, then the next, of as
   many bytes as the longest step has. They are added up to samples as they are needed. */

typedef struct {
    Py_buffer buffer[4];
    const uint8_t *byte[4];
    int n;
} Planes;

/* Take a tuple of 1 to 4 planes of a byte a step, or of none where there are no steps. Returns 0 if
   it is none, with an error set; release(planes.buffer, planes.n) is called in either case. */
static int take_planes(PyObject *given, Py_ssize_t n_steps, Planes *planes)
{
    const Py_ssize_t n_planes = PyTuple_Size(given);
    planes->n = 0;
    int fits = n_steps ? n_planes >= 1 && n_planes <= 4 : n_planes == 0;
    for (Py_ssize_t i = 0; fits && i < n_planes; i++) {
        Py_buffer *buffer = &planes->buffer[i];
        if (PyObject_GetBuffer(PyTuple_GetItem(given, i), buffer, PyBUF_SIMPLE))
            return 0;
        planes->byte[i] = buffer->buf;
        planes->n++;
        fits = buffer->len == n_steps;
    }
    if (!fits)
        PyErr_SetString(PyExc_ValueError, "there must be 1 to 4 planes of a byte a step");
    return fits;
}

/* The step of spike i, of 1 to 4 planes. */
#define STEP_1(p, i) ((uint32_t)(p).byte[0][i])
#define STEP_2(p, i) (STEP_1(p, i) | (uint32_t)(p).byte[1][i] << 8)
#define STEP_3(p, i) (STEP_2(p, i) | (uint32_t)(p).byte[2][i] << 16)
#define STEP_4(p, i) (STEP_3(p, i) | (uint32_t)(p).byte[3][i] << 24)

/* Do the same with each number of planes: as it is the inner loop, each has one of its own. */
#define FOR_PLANES(planes, LOOP) \
    switch ((planes).n) { \
    case 1: LOOP(STEP_1); break; \
    case 2: LOOP(STEP_2); break; \
    case 3: LOOP(STEP_3); break; \
    case 4: LOOP(STEP_4); break; \
    }

static PyObject *sum_steps(PyObject *self, PyObject *args)
{
    PyObject *given;
    Py_buffer b; /* samples */
    Planes planes;
    if (!PyArg_ParseTuple(args, "O!w*", &PyTuple_Type, &given, &b))
        return NULL;
    const Py_ssize_t n = LENGTH(b, int64_t);
    const int fits = take_planes(given, n, &planes);
    if (fits) {
        int64_t *samples = b.buf, sample = 0;
        Py_BEGIN_ALLOW_THREADS
#define ADD(STEP) \
        for (Py_ssize_t i = 0; i < n; i++) \
            samples[i] = sample += STEP(planes, i)
        FOR_PLANES(planes, ADD)
        Py_END_ALLOW_THREADS
    }
    release(planes.buffer, planes.n);
    release(&b, 1);
    if (!fits)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- samples to seconds ----------------------------------------------------------------------

   Samples are cut into cells of 2**shift that hold one knot at most: what comes before the knot is
   on one line, what comes from it on is on another. Which of the two changes every few spikes, so
   it is no branch. The last cell goes on for ever. What need not be asked of each spike is not: the
   loop ends where the pulses begin and end and where the cells do, and is entered anew. The bits of
   all seconds are summed on the way. */

typedef struct {
    int64_t knot;
    double slope[2], intercept[2];
} Cell;

static PyObject *place_steps(PyObject *self, PyObject *args)
{
    PyObject *given;
    Py_buffer b[2]; /* cells, seconds */
    Py_ssize_t shift;
    long long first, last;
    Planes planes;
    if (!PyArg_ParseTuple(args, "O!ny*w*LL", &PyTuple_Type, &given, &shift, &b[0], &b[1],
                          &first, &last))
        return NULL;
    const Py_ssize_t n = LENGTH(b[1], double), n_cells = LENGTH(b[0], Cell);
    if (shift < 0 || shift > 40 || n_cells < 1 || n_cells > 1 << 22 ||
        b[0].len != n_cells * (Py_ssize_t)sizeof(Cell))
        return refuse(b, 2, "there must be cells, not too large");
    if (!take_planes(given, n, &planes)) {
        release(planes.buffer, planes.n);
        release(b, 2);
        return NULL;
    }
    const Cell *const cells = b[0].buf, *const end_cell = cells + n_cells - 1;
    double *seconds = b[1].buf;
    const int64_t end = ((int64_t)n_cells << shift) - 1; /* the last sample that has a cell */
    const int64_t parts[] = {first - 1, last, INT64_MAX};
    Py_ssize_t i = 0, reached[3];
    int64_t sample = 0;
    uint64_t sum = 0, bits;
    Py_BEGIN_ALLOW_THREADS
    for (int part = 0; part < 3; part++) {
        for (int is_beyond = 0; is_beyond < 2; is_beyond++) {
            const int64_t limit = !is_beyond && parts[part] > end ? end : parts[part];
#define PLACE(STEP) \
            for (; i < n; i++) { \
                const int64_t next = sample + STEP(planes, i); \
                if (next > limit) \
                    break; \
                sample = next; \
                const Cell *cell = is_beyond ? end_cell : cells + (sample >> shift); \
                const int side = sample >= cell->knot; \
                const double time = cell->slope[side] * (double)sample + cell->intercept[side]; \
                seconds[i] = time; \
                memcpy(&bits, &time, sizeof bits); \
                sum += bits; \
            }
            FOR_PLANES(planes, PLACE)
        }
        reached[part] = i;
    }
    Py_END_ALLOW_THREADS
    release(planes.buffer, planes.n);
    release(b, 2);
    return Py_BuildValue("nK", n - (reached[1] - reached[0]), (unsigned long long)sum);
}

/* ---- spikes around events --------------------------------------------------------------------

   The spikes of one unit and the events both ascend, so that the ends of the windows only move on.
   What is inside is decided by the relative time itself, as it is rounded. */

/* Return the first spike, from `low` on, that is not before `bound` relative to the event. */
static Py_ssize_t first_from(const double *seconds, Py_ssize_t low, Py_ssize_t n, double event,
                             double bound)
{
    Py_ssize_t high = low;
    for (Py_ssize_t step = 1; high < n && seconds[high] - event < bound; step *= 2) {
        low = high + 1; /* the next is near where events are many, far where they are few */
        high += step;
    }
    high = high < n ? high : n;
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        if (seconds[middle] - event < bound)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static PyObject *bound_windows(PyObject *self, PyObject *args)
{
    Py_buffer b[4]; /* seconds, events, low, high */
    double start, stop;
    if (!PyArg_ParseTuple(args, "y*y*ddw*w*", &b[0], &b[1], &start, &stop, &b[2], &b[3]))
        return NULL;
    Py_ssize_t n = LENGTH(b[0], double), n_events = LENGTH(b[1], double);
    if (LENGTH(b[2], int64_t) != n_events || LENGTH(b[3], int64_t) != n_events)
        return refuse(b, 4, "there must be two bounds an event");
    const double *seconds = b[0].buf, *event = b[1].buf;
    int64_t *low = b[2].buf, *high = b[3].buf;
    Py_ssize_t total = 0;
    Py_BEGIN_ALLOW_THREADS
    Py_ssize_t i = 0, j = 0;
    for (Py_ssize_t k = 0; k < n_events; k++) {
        i = first_from(seconds, i, n, event[k], start);
        j = first_from(seconds, j < i ? i : j, n, event[k], stop);
        low[k] = i;
        high[k] = j;
        total += j - i;
    }
    Py_END_ALLOW_THREADS
    release(b, 4);
    return PyLong_FromSsize_t(total);
}

static PyObject *cut_windows(PyObject *self, PyObject *args)
{
    Py_buffer b[7]; /* seconds, events, low, high, labels; relative, label of each */
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*w*w*", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &b[6]))
        return NULL;
    Py_ssize_t n = LENGTH(b[0], double), n_events = LENGTH(b[1], double);
    Py_ssize_t n_found = LENGTH(b[5], double);
    const double *seconds = b[0].buf, *event = b[1].buf;
    const int64_t *low = b[2].buf, *high = b[3].buf;
    const int32_t *label = b[4].buf;
    double *relative = b[5].buf;
    int32_t *of_event = b[6].buf;
    if (LENGTH(b[2], int64_t) != n_events || LENGTH(b[3], int64_t) != n_events ||
        LENGTH(b[4], int32_t) != n_events || LENGTH(b[6], int32_t) != n_found)
        return refuse(b, 7, "there must be two bounds and a label an event");
    Py_ssize_t total = 0;
    for (Py_ssize_t k = 0; k < n_events; k++) {
        if (low[k] < 0 || high[k] < low[k] || high[k] > n)
            return refuse(b, 7, "bounds are outside the spikes");
        total += (Py_ssize_t)(high[k] - low[k]);
    }
    if (total != n_found)
        return refuse(b, 7, "there must be room for the spikes inside, no more");
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t k = 0; k < n_events; k++)
        for (int64_t i = low[k]; i < high[k]; i++) {
            *relative++ = seconds[i] - event[k];
            *of_event++ = label[k];
        }
    Py_END_ALLOW_THREADS
    release(b, 7);
    Py_RETURN_NONE;
}

/* ---- whether spikes are sorted by unit and time ---------------------------------------------- */

static PyObject *is_grouped(PyObject *self, PyObject *args)
{
    Py_buffer b[2]; /* labels, seconds */
    if (!PyArg_ParseTuple(args, "y*y*", &b[0], &b[1]))
        return NULL;
    Py_ssize_t n = LENGTH(b[0], int32_t);
    if (LENGTH(b[1], double) != n)
        return refuse(b, 2, "there must be a label a spike");
    const int32_t *label = b[0].buf;
    const double *seconds = b[1].buf;
    int sorted = 1;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t begin = 1; begin < n && sorted; begin += 4096) {
        Py_ssize_t end = begin + 4096 < n ? begin + 4096 : n;
        int wrong = 0;
        for (Py_ssize_t i = begin; i < end; i++)
            wrong |= (label[i] < label[i - 1]) |
                     ((label[i] == label[i - 1]) & (seconds[i] < seconds[i - 1]));
        sorted = !wrong;
    }
    Py_END_ALLOW_THREADS
    release(b, 2);
    return PyBool_FromLong(sorted);
}

/* ---- pairs of spikes -------------------------------------------------------------------------

   Spikes ascend in time, in whole ticks. Each spike of one unit, given by its place among all, is
   paired with all that come later within the window; count is [unit of the later][bin]. A unit at a
   time, so that the counts stay in the processor's cache. */

static PyObject *count_pairs(PyObject *self, PyObject *args)
{
    Py_buffer b[4]; /* ticks, unit of each, places, count */
    Py_ssize_t n_lags;
    long long bin;
    if (!PyArg_ParseTuple(args, "y*y*y*nLw*", &b[0], &b[1], &b[2], &n_lags, &bin, &b[3]))
        return NULL;
    Py_ssize_t n = LENGTH(b[0], int64_t), n_places = LENGTH(b[2], int64_t);
    if (LENGTH(b[1], int32_t) != n)
        return refuse(b, 4, "there must be a unit a spike");
    if (bin < 1 || n_lags < 1 || LENGTH(b[3], uint32_t) % n_lags)
        return refuse(b, 4, "there must be a count a unit and bin");
    const int64_t *ticks = b[0].buf, *place = b[2].buf;
    const int32_t *unit = b[1].buf;
    uint32_t *count = b[3].buf;
    const int32_t n_units = (int32_t)(LENGTH(b[3], uint32_t) / n_lags);
    const int64_t most = (2 * (int64_t)n_lags - 1) * bin; /* twice the lag that is outside */
    const int is_short = most + bin <= UINT32_MAX;        /* which divides several times faster */
    int known = 1;
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t k = 0; k < n_places && known; k++) {
        const int64_t i = place[k];
        if (i < 0 || i >= n) {
            known = 0;
            break;
        }
        for (Py_ssize_t j = i + 1; j < n; j++) {
            const int64_t twice = 2 * (ticks[j] - ticks[i]);
            if (twice >= most)
                break;
            if (unit[j] < 0 || unit[j] >= n_units) {
                known = 0;
                break;
            }
            const int64_t lag = is_short ? (uint32_t)(twice + bin) / (uint32_t)(2 * bin)
                                         : (twice + bin) / (2 * bin);
            count[unit[j] * n_lags + lag]++;
        }
    }
    Py_END_ALLOW_THREADS
    if (!known)
        return refuse(b, 4, "a spike is not there, or of no unit");
    release(b, 4);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"sum_steps", sum_steps, METH_VARARGS, "Sum steps to samples."},
    {"place_steps", place_steps, METH_VARARGS, "Sum steps to samples, and put them on lines."},
    {"bound_windows", bound_windows, METH_VARARGS, "Find the spikes in the window of each event."},
    {"cut_windows", cut_windows, METH_VARARGS, "Copy them, relative to the event."},
    {"is_grouped", is_grouped, METH_VARARGS, "Tell whether spikes are sorted by unit and time."},
    {"count_pairs", count_pairs, METH_VARARGS, "Count pairs of spikes by units and lag."},
    {NULL, NULL, 0, NULL}};

/* Raised with each change of what a loop takes or gives: see VERSION of labdata.loops. */
static int add_version(PyObject *module)
{
    return PyModule_AddIntConstant(module, "VERSION", 3);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, add_version}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "labdata.loops._compiled", "Inner loops of labdata.", 0, methods, slots,
    NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__compiled(void) { return PyModuleDef_Init(&module); }

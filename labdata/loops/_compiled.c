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

/* ---- samples to seconds ----------------------------------------------------------------------

   Samples are cut into cells of 2**shift that hold one knot at most: the line of a sample is the
   one that its cell begins on, or the next from the knot in it on. No branch, as which of the two
   it is changes every few spikes. The bits of all seconds are summed on the way. */

static PyObject *place_steps(PyObject *self, PyObject *args)
{
    Py_buffer b[6]; /* steps, line and knot of each cell, slope, intercept, out */
    Py_ssize_t shift;
    long long first, last;
    if (!PyArg_ParseTuple(args, "y*ny*y*y*y*w*LL", &b[0], &shift, &b[1], &b[2], &b[3], &b[4],
                          &b[5], &first, &last))
        return NULL;
    const Py_ssize_t n = LENGTH(b[0], uint32_t), n_cells = LENGTH(b[1], int64_t);
    const Py_ssize_t n_lines = LENGTH(b[3], double);
    if (shift < 0 || shift > 62 || n_cells < 1 || LENGTH(b[2], int64_t) != n_cells)
        return refuse(b, 6, "there must be a line and a knot a cell");
    if (n_lines < 1 || LENGTH(b[4], double) != n_lines)
        return refuse(b, 6, "there must be an intercept a slope");
    if (LENGTH(b[5], double) != n)
        return refuse(b, 6, "there must be as many seconds as steps");
    const uint32_t *step = b[0].buf;
    const int64_t *line = b[1].buf, *knot = b[2].buf;
    const double *slope = b[3].buf, *intercept = b[4].buf;
    double *seconds = b[5].buf;
    Py_ssize_t n_outside = 0;
    uint64_t sum = 0;
    Py_BEGIN_ALLOW_THREADS
    int64_t sample = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        sample += step[i];
        int64_t cell = sample >> shift;
        cell = cell < n_cells ? cell : n_cells - 1;
        uint64_t k = (uint64_t)(line[cell] + (sample >= knot[cell]));
        k = k < (uint64_t)n_lines ? k : (uint64_t)n_lines - 1;
        const double time = slope[k] * (double)sample + intercept[k];
        n_outside += (sample < first) | (sample > last);
        seconds[i] = time;
        uint64_t bits;
        memcpy(&bits, &time, sizeof bits);
        sum += bits;
    }
    Py_END_ALLOW_THREADS
    release(b, 6);
    return Py_BuildValue("nK", n_outside, (unsigned long long)sum);
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
    {"place_steps", place_steps, METH_VARARGS, "Sum steps to samples, and put them on lines."},
    {"bound_windows", bound_windows, METH_VARARGS, "Find the spikes in the window of each event."},
    {"cut_windows", cut_windows, METH_VARARGS, "Copy them, relative to the event."},
    {"is_grouped", is_grouped, METH_VARARGS, "Tell whether spikes are sorted by unit and time."},
    {"count_pairs", count_pairs, METH_VARARGS, "Count pairs of spikes by units and lag."},
    {NULL, NULL, 0, NULL}};

/* Raised with each change of what a loop takes or gives: see VERSION of labdata.loops. */
static int add_version(PyObject *module)
{
    return PyModule_AddIntConstant(module, "VERSION", 2);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, add_version}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "labdata.loops._compiled", "Inner loops of labdata.", 0, methods, slots,
    NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__compiled(void) { return PyModuleDef_Init(&module); }

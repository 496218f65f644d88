/* What the record and the kernels of recurrent layers share. */
#ifndef HX_RECURRENT_H
#define HX_RECURRENT_H

/* Kinds of a recurrence, and its inputs; its backward has what follows. */
enum { HX_RNN_TANH, HX_RNN_RELU, HX_LSTM, HX_GRU };
enum { R_GATES, R_WEIGHT, R_BIAS, R_HIDDEN, R_CELL, R_LENGTHS, R_STATES, R_CELLS, R_SAVED, R_G_STATES, R_G_CELLS };

#endif

"""Writes a character LSTM as Keras 2.4 saves it, and char_lstm.json, what it predicts:

char_lstm.h5 (Sequential), char_lstm_functional.h5; char_lstm_architecture.json and char_lstm_weights.h5, its to_json and
save_weights; char_cudnn_lstm.h5 and char_cudnn_lstm_weights.h5, the same of a CuDNNLSTM.

    apt-get install python3-h5py python3-numpy
    /usr/bin/python3 make_char_lstm.py [FOLDER]

Keras itself is not needed: the files follow its layout, the expected probabilities are computed here in float64.
Every run gives the same bytes.
"""
import json
import sys
from pathlib import Path

import h5py
import numpy as np

VOCABULARY, UNITS, BATCH, TIME = 12, 16, 3, 7
FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
SHAPE = [None, None, VOCABULARY]


def common(name, units, activation):
    return {"name": name, "trainable": True, "dtype": "float32", "units": units, "activation": activation,
            "use_bias": True, "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
            "bias_initializer": {"class_name": "Zeros", "config": {}}, "kernel_regularizer": None,
            "bias_regularizer": None, "activity_regularizer": None, "kernel_constraint": None, "bias_constraint": None}


def lstm(kind="LSTM", **shape):
    recurrent = {"class_name": "Orthogonal", "config": {"gain": 1.0, "seed": None}}
    return {"class_name": kind, "config": {
        **common("lstm", UNITS, "tanh"), **shape, "return_sequences": True, "return_state": False,
        "go_backwards": False, "stateful": False, "unroll": False, "time_major": False,
        "recurrent_activation": "sigmoid", "recurrent_initializer": recurrent, "unit_forget_bias": True,
        "recurrent_regularizer": None, "recurrent_constraint": None, "dropout": 0.0, "recurrent_dropout": 0.0,
        "implementation": 2}}


def dense():
    return {"class_name": "Dense", "config": common("dense", VOCABULARY, "softmax")}


def inputs(name):
    return {"class_name": "InputLayer", "config": {
        "batch_input_shape": SHAPE, "dtype": "float32", "sparse": False, "ragged": False, "name": name}}


def sequential(kind="LSTM"):
    layers = [inputs("lstm_input"), lstm(kind, batch_input_shape=SHAPE), dense()]
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": layers}}


def functional():
    layers, before = [], None
    for layer in (inputs("input_1"), lstm(), dense()):
        name = layer["config"]["name"]
        layers.append({**layer, "name": name, "inbound_nodes": [[[before, 0, 0, {}]]] if before else []})
        before = name
    return {"class_name": "Functional", "config": {
        "name": "model", "layers": layers, "input_layers": [["input_1", 0, 0]], "output_layers": [["dense", 0, 0]]}}


def weights():
    random = np.random.RandomState(20240607)
    kernel, recurrent, bias, dense_kernel, dense_bias = (
        random.uniform(-0.6, 0.6, shape).astype(np.float32)
        for shape in ((VOCABULARY, 4 * UNITS), (UNITS, 4 * UNITS), 4 * UNITS, (UNITS, VOCABULARY), VOCABULARY))
    bias[UNITS:2 * UNITS] += 1
    return {"lstm": {"lstm/lstm_cell/kernel:0": kernel, "lstm/lstm_cell/recurrent_kernel:0": recurrent,
                     "lstm/lstm_cell/bias:0": bias},
            "dense": {"dense/kernel:0": dense_kernel * 3, "dense/bias:0": dense_bias}}


def cudnn(groups):
    """Each gate's kernels transposed, the input kernel's in its own shape, and two biases: Keras' convert_lstm_weights."""
    kernel, recurrent, bias = groups["lstm"].values()
    kernel = np.hstack([k.T.reshape(k.shape, order="C") for k in np.hsplit(kernel, 4)])
    recurrent = np.hstack([k.T for k in np.hsplit(recurrent, 4)])
    return {"lstm": {"lstm/kernel:0": kernel, "lstm/recurrent_kernel:0": recurrent,
                     "lstm/bias:0": np.hstack([0.5 * bias] * 2)}, "dense": groups["dense"]}


def write_weights(top, groups):
    top.attrs.update(keras_version=b"2.4.0", backend=b"tensorflow", layer_names=[g.encode() for g in groups])
    for layer, arrays in groups.items():
        group = top.create_group(layer)
        group.attrs["weight_names"] = [a.encode() for a in arrays]
        for path, array in arrays.items():
            group.create_dataset(path, data=array, track_times=False)


def save_weights(name, groups):
    with h5py.File(FOLDER / name, "w", libver="earliest") as file:
        write_weights(file, groups)


def save(name, model, groups):
    training = {"loss": "categorical_crossentropy", "metrics": None, "weighted_metrics": None, "loss_weights": None,
                "optimizer_config": {"class_name": "Adam", "config": {
                    "name": "Adam", "learning_rate": 0.01, "decay": 0.0, "beta_1": 0.9, "beta_2": 0.999,
                    "epsilon": 1e-07, "amsgrad": False}}}
    with h5py.File(FOLDER / name, "w", libver="earliest") as file:
        file.attrs.update(keras_version=b"2.4.0", backend=b"tensorflow", model_config=json.dumps(model).encode(),
                          training_config=json.dumps(training).encode())
        write_weights(file.create_group("model_weights"), groups)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def probabilities(groups, ids):
    kernel, recurrent, bias = (a.astype(np.float64) for a in groups["lstm"].values())
    dense_kernel, dense_bias = (a.astype(np.float64) for a in groups["dense"].values())
    hidden = cell = np.zeros((BATCH, UNITS))
    steps = []
    for step in np.eye(VOCABULARY)[ids].swapaxes(0, 1):
        # Keras' order of the gates.
        enter, forget, candidate, leave = np.split(step @ kernel + hidden @ recurrent + bias, 4, axis=1)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(candidate)
        hidden = sigmoid(leave) * np.tanh(cell)
        steps.append(hidden)
    logits = np.stack(steps, axis=1) @ dense_kernel + dense_bias
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def main():
    groups = weights()
    save("char_lstm.h5", sequential(), groups)
    save("char_lstm_functional.h5", functional(), {"input_1": {}, **groups})
    save_weights("char_lstm_weights.h5", groups)
    (FOLDER / "char_lstm_architecture.json").write_text(
        json.dumps({**sequential(), "keras_version": "2.4.0", "backend": "tensorflow"}) + "\n")
    save("char_cudnn_lstm.h5", sequential("CuDNNLSTM"), cudnn(groups))
    save_weights("char_cudnn_lstm_weights.h5", cudnn(groups))
    ids = np.random.RandomState(7).randint(0, VOCABULARY, (BATCH, TIME + 1))
    (FOLDER / "char_lstm.json").write_text(json.dumps({
        "input": ids[:, :-1].tolist(), "labels": ids[:, 1:].tolist(),
        "probabilities": probabilities(groups, ids[:, :-1]).round(9).tolist()}) + "\n")


main()

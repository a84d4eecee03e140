package io.github.dl4jretention.samples.benchmark;

import io.github.dl4jretention.samples.model.ModelKind;
import io.github.dl4jretention.samples.model.ModelSize;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.learning.config.Adam;

/** The models that are measured: an LSTM of two layers of 256 units, a transformer of four blocks of width 128. */
public final class BenchmarkModel {

    private BenchmarkModel() {}

    /** A new network with random weights, the same every time. */
    public static MultiLayerNetwork create(ModelKind kind, int vocabulary, int time) {
        ModelSize size =
                switch (kind) {
                    case LSTM -> new ModelSize(vocabulary, time, 256, 2, 256);
                    case TRANSFORMER -> new ModelSize(vocabulary, time, 128, 4, 128);
                };
        return kind.create(size, new Adam(1e-4), 1);
    }
}

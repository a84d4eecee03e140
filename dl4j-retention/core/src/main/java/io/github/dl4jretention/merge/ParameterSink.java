package io.github.dl4jretention.merge;

import java.io.IOException;

/** A model whose parameters are written one after another. */
interface ParameterSink<N> extends AutoCloseable {

    void write(double[] values) throws IOException;

    /** The model, after its last parameter. */
    N finish() throws IOException;

    @Override
    default void close() throws IOException {}
}

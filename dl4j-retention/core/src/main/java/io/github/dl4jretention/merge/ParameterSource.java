package io.github.dl4jretention.merge;

import java.io.IOException;

/** A model whose parameters are read one after another. */
interface ParameterSource extends AutoCloseable {

    ModelArchitecture architecture();

    /** The next parameter's values, in the order of {@link ModelArchitecture#parameters}. */
    double[] next() throws IOException;

    @Override
    default void close() throws IOException {}
}

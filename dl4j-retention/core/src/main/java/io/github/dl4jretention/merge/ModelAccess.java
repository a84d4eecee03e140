package io.github.dl4jretention.merge;

import java.io.IOException;

/** How one kind of model is read and written. */
interface ModelAccess<N> {

    ParameterSource open(N model) throws IOException;

    /** A new model that is like another one but for its parameters, without updater state. */
    ParameterSink<N> create(N like) throws IOException;

    /** What a model is called in messages. */
    default String describe(N model, String role) {
        return role;
    }
}

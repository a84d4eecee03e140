package io.github.dl4jretention.merge;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.nd4j.shade.guava.collect.Lists;
import org.nd4j.shade.guava.io.Closer;

/** Sources of one architecture that are read side by side and closed together, each whatever comes of the others. */
final class OpenSources implements AutoCloseable {

    private final List<ParameterSource> open = new ArrayList<>();
    private final List<String> descriptions = new ArrayList<>();
    private @Nullable String notFinite;

    /**
     * @param description for messages
     * @throws IllegalArgumentException if it is of another architecture than the first; it is closed with the others
     */
    void add(ParameterSource source, String description) {
        open.add(source);
        descriptions.add(description);
        architecture().requireSame(source.architecture(), descriptions.get(0), description);
    }

    ModelArchitecture architecture() {
        return open.get(0).architecture();
    }

    /** The values of one source's next parameter. */
    double[] next(int source, ModelArchitecture.Parameter parameter) throws IOException {
        double[] values = open.get(source).next();
        for (double value : values) {
            if (!Double.isFinite(value) && notFinite == null) {
                notFinite = value + " in " + parameter + " of " + descriptions.get(source);
            }
        }
        return values;
    }

    /**
     * To be asked after the last parameter: only then it is known that a file is not damaged.
     *
     * @throws IllegalArgumentException if a value was not finite
     */
    void requireFinite() {
        if (notFinite != null) {
            throw new IllegalArgumentException("models: expected finite parameters, got " + notFinite);
        }
    }

    /** @throws IOException the first one's; those of others are suppressed in it */
    @Override
    public void close() throws IOException {
        try (Closer closer = Closer.create()) {
            // The last that is registered is closed first.
            Lists.reverse(open).forEach(source -> closer.register(source::close));
            open.clear();
        }
    }
}

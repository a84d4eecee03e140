package io.github.dl4jretention.merge;

import java.io.IOException;
import java.nio.file.Path;

/**
 * Model files of {@code ModelSerializer}: {@code configuration.json} and {@code coefficients.bin} in a zip. Parameters
 * are streamed; the file that is written appears at once, complete, or not at all.
 *
 * @param out the file to write
 */
record FileAccess(Path out) implements ModelAccess<Path> {

    @Override
    public String describe(Path model, String role) {
        return role + " " + model;
    }

    @Override
    public ParameterSource open(Path model) throws IOException {
        return new FileSource(model);
    }

    @Override
    public ParameterSink<Path> create(Path like) throws IOException {
        try (FileSource source = new FileSource(like)) {
            return new FileSink(out, ProvenanceRemoval.from(source.configuration()), source.coefficients());
        }
    }
}

package io.github.dl4jretention.merge;

import io.github.dl4jretention.internal.ArrayStream;
import io.github.dl4jretention.internal.CheckedZip;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

/** A model file from which parameters are streamed. Every error names the file. */
final class FileSource implements ParameterSource {

    private final Path model;
    private final CheckedZip zip;
    private final String configuration;
    private final ModelArchitecture architecture;
    private final DataInputStream in;
    private final ArrayStream coefficients;
    private int parameter;

    /** Reads up to the first parameter. */
    FileSource(Path model) throws IOException {
        this.model = model;
        CheckedZip opened = null;
        try {
            opened = new CheckedZip(model);
            configuration = new String(opened.bytes(ModelSerializer.CONFIGURATION_JSON), StandardCharsets.UTF_8);
            architecture = architecture(configuration);
            in = opened.open(ModelSerializer.COEFFICIENTS_BIN);
            coefficients = ArrayStream.readHead(in);
            if (coefficients.length() != architecture.length() || coefficients.type() != architecture.dataType()) {
                throw new IOException("expected " + architecture.length() + " parameters of type "
                        + architecture.dataType() + " by its configuration, got " + coefficients.length() + " of type "
                        + coefficients.type());
            }
        } catch (IOException | RuntimeException e) {
            if (opened != null) {
                opened.close();
            }
            throw named(e);
        }
        zip = opened;
    }

    private static ModelArchitecture architecture(String json) throws IOException {
        JsonNode tree = new ObjectMapper().readTree(json);
        return tree.has("confs")
                ? ModelArchitecture.of(MultiLayerConfiguration.fromJson(json))
                : ModelArchitecture.of(ComputationGraphConfiguration.fromJson(json));
    }

    private IOException named(Exception cause) {
        if (cause instanceof IOException named
                && String.valueOf(cause.getMessage()).contains(model.toString())) {
            return named;
        }
        return new IOException(
                "model " + model + ": " + (cause.getMessage() == null ? cause : cause.getMessage()), cause);
    }

    /** As JSON. */
    String configuration() {
        return configuration;
    }

    ArrayStream coefficients() {
        return coefficients;
    }

    @Override
    public ModelArchitecture architecture() {
        return architecture;
    }

    @Override
    public double[] next() throws IOException {
        try {
            int length = architecture.parameters().get(parameter++).length();
            double[] values = coefficients.read(in, length);
            if (parameter == architecture.parameters().size() && in.read() >= 0) {
                throw new IOException("expected the end after the last parameter, got more");
            }
            return values;
        } catch (IOException e) {
            throw named(e);
        } catch (OutOfMemoryError e) {
            throw zip.outOfMemory(ModelSerializer.COEFFICIENTS_BIN, e);
        }
    }

    @Override
    public void close() throws IOException {
        zip.close();
    }
}

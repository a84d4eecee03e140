package io.github.dl4jretention.checkpoint;

import io.github.dl4jretention.internal.ArrayStream;
import io.github.dl4jretention.internal.AtomicFile;
import io.github.dl4jretention.internal.CheckedZip;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import org.deeplearning4j.util.ModelSerializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;

/** The entries of DL4J's model files, which its ModelSerializer reads. */
final class NetworkEntries {

    private NetworkEntries() {}

    /** @param updaterState null for none */
    static Map<String, AtomicFile.Content> of(String configuration, INDArray params, @Nullable INDArray updaterState) {
        Map<String, AtomicFile.Content> entries = new LinkedHashMap<>();
        entries.put(
                ModelSerializer.CONFIGURATION_JSON, out -> out.write(configuration.getBytes(StandardCharsets.UTF_8)));
        entries.put(ModelSerializer.COEFFICIENTS_BIN, array(params));
        if (updaterState != null && updaterState.length() > 0) {
            entries.put(ModelSerializer.UPDATER_BIN, array(updaterState));
        }
        return entries;
    }

    static AtomicFile.Content array(INDArray array) {
        return out -> {
            DataOutputStream data = new DataOutputStream(out);
            ArrayStream.write(array, data);
            data.flush();
        };
    }

    /** A copy of an updater's state; null for none. */
    static @Nullable INDArray copy(@Nullable INDArray updaterState) {
        return updaterState == null || updaterState.length() == 0 ? null : updaterState.dup();
    }

    static String configuration(CheckedZip zip) throws IOException {
        return new String(zip.bytes(ModelSerializer.CONFIGURATION_JSON), StandardCharsets.UTF_8);
    }

    static INDArray params(CheckedZip zip) throws IOException {
        return zip.array(ModelSerializer.COEFFICIENTS_BIN);
    }

    /** Null if there is none. */
    static @Nullable INDArray updaterState(CheckedZip zip) throws IOException {
        return zip.has(ModelSerializer.UPDATER_BIN) ? zip.array(ModelSerializer.UPDATER_BIN) : null;
    }
}

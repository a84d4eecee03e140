package io.github.dl4jretention.cache;

import io.github.dl4jretention.teacher.NetworkIdentity;
import java.util.ArrayList;
import java.util.List;

/**
 * What a cache's content follows from. The temperature is part of the codec: whole distributions are kept at
 * temperature 1, of which those at others follow; samples are drawn at one.
 *
 * @param teacher      SHA-256
 * @param outputs      names
 * @param data         description of the data
 * @param tokenisation description of how it was made into features
 * @param codec        name and parameters
 * @param seed         of samples
 */
record CacheKey(String teacher, List<String> outputs, String data, String tokenisation, String codec, long seed) {

    /** Changes with every change of the files' format. */
    static final int FORMAT = 1;

    /** 64 hexadecimal digits. */
    String sha256() {
        List<String> parts = new ArrayList<>(
                List.of("teacher cache " + FORMAT, teacher, data, tokenisation, codec, Long.toString(seed)));
        parts.addAll(outputs);
        return NetworkIdentity.sha256(parts);
    }
}

// The descriptors under fixtures/kmd as a measure: what a class raises, which fields a value must have, and of what type.
import fs from 'node:fs';
import path from 'node:path';
import { root } from './server.mjs';

/** The API versions that are described there. */
export const API_VERSIONS = ['6.8', '7.3'];

const PLAIN = {
  String: (value) => typeof value === 'string',
  boolean: (value) => typeof value === 'boolean',
  int: Number.isInteger,
  int64: Number.isInteger,
  float: Number.isFinite,
  double: Number.isFinite,
};

/** The API of a version, of all modules together. */
export function readApi(version) {
  const folder = path.join(root, 'fixtures/kmd', version);
  const rows = { remoteClasses: new Map(), events: new Map(), complexTypes: new Map() };
  for (const file of fs.readdirSync(folder).filter((name) => name.endsWith('.kmd.json'))) {
    const text = JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8'));
    for (const [kind, found] of Object.entries(rows)) for (const row of text[kind] ?? []) found.set(row.name, row);
  }
  /** A row and all that it extends, the row first. */
  const line = (kind, name) => {
    const all = [];
    for (let row = rows[kind].get(name); row; row = rows[kind].get(row.extends)) all.push(row);
    return all;
  };

  /** What is wrong with a value that should be of a type; nothing when it is right. */
  function faults(value, type, where) {
    if (type.endsWith('[]')) {
      if (!Array.isArray(value)) return [`${where} is no list: ${JSON.stringify(value)}`];
      return value.flatMap((item, at) => faults(item, type.slice(0, -2), `${where}[${at}]`));
    }
    if (PLAIN[type]) return PLAIN[type](value) ? [] : [`${where} is no ${type}: ${JSON.stringify(value)}`];
    if (rows.remoteClasses.has(type)) {
      return typeof value === 'string' && /_kurento\.\w+$/.test(value) ? [] : [`${where} is no ${type}: ${JSON.stringify(value)}`];
    }
    const [row] = line('complexTypes', type);
    if (!row) return [`${where}: nobody knows the type ${type}`];
    if (row.typeFormat === 'ENUM') return row.values.includes(value) ? [] : [`${where} is no ${type}: ${JSON.stringify(value)}`];
    if (value === null || typeof value !== 'object') return [`${where} is no ${type}: ${JSON.stringify(value)}`];
    if (value.__type__ !== type || value.__module__ !== 'kurento') return [`${where} calls itself ${value.__module__}.${value.__type__}, not ${type}`];
    return fieldFaults(value, line('complexTypes', type), where);
  }
  const fieldFaults = (value, line, where) => line.flatMap((row) => row.properties ?? [])
    .flatMap(({ name, type }) => (name in value ? faults(value[name], type, `${where}.${name}`) : [`${where}.${name} is missing`]));

  return {
    version,
    /** Names of the events of a class, the inherited among them. */
    events: (className) => line('remoteClasses', className).flatMap((row) => row.events ?? []),
    faults,
    /** What is wrong with the data of an event. */
    eventFaults: (name, data) => (rows.events.has(name) ? fieldFaults(data, line('events', name), name) : [`${name} is no event of ${version}`]),
  };
}
